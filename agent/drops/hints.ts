import { basename } from 'node:path'
import { watch } from 'chokidar'

export interface Hints {
  close(): Promise<void>
}

export interface HintListeners {
  /**
   * Something happened to this name in the folder (null: to some name). `entered` where it came or went under this
   * name, false where it was only changed. Called as the event is delivered.
   */
  readonly onHint: (name: string | null, entered: boolean) => void
  /** Events cannot be had (any more): ENOSPC or EMFILE where inotify's limits are reached. */
  readonly onError: (error: NodeJS.ErrnoException) => void
}

/**
 * Listens for changes of the folder itself, not of what lies in its subfolders. Resolves once events are delivered;
 * errors, those of the start included, come through onError.
 *
 * Of chokidar's events `raw` is the one that is passed on at once and with the name (the others come after a reading of
 * the folder, throttled). As every event is only a hint and the folder is read again anyway, nothing else in it matters.
 */
export async function openHints(folder: string, listeners: HintListeners): Promise<Hints> {
  const watcher = watch(folder, {
    depth: 0,
    followSymlinks: false,
    ignoreInitial: true,
    atomic: false,
    // Plain files in the folder would each cost an inotify watch of their own.
    ignored: (path) => path !== folder,
  })
  watcher.on('error', (error) => listeners.onError(error as NodeJS.ErrnoException))
  watcher.on('raw', (event, path) => {
    listeners.onHint(typeof path === 'string' && path !== '' ? basename(path) : null, event === 'rename')
  })
  await new Promise<void>((resolve) => watcher.once('ready', resolve))
  return { close: () => watcher.close() }
}

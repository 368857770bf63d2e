import type { Progress } from '../control/shapes.ts'
import type { Palette } from './color.ts'
import { phaseLine } from './render-swap.ts'

export interface Display {
  phase(progress: Progress): void
  /** A remark between the phases. */
  note(text: string): void
  /** Leaves the last line standing. */
  end(): void
}

/** Where a display writes to: stderr, or a list in tests. */
export interface Screen {
  readonly isTTY: boolean
  columns(): number
  write(text: string): void
  /** Milliseconds of any clock that runs evenly. */
  now(): number
}

const frameMs = 100
/** Told whenever there is something new of them: each command of a hook, each step of a canary. */
const toldAgain: ReadonlySet<string> = new Set(['preparing', 'releasing', 'finishing', 'canary'])

/** One line for every phase as it begins; the draining count is told only at its beginning. */
export function plainDisplay(screen: Screen, palette: Palette): Display {
  let last = ''
  return {
    phase(progress) {
      const detail = toldAgain.has(progress.phase) ? (progress.detail ?? '') : ''
      const key = `${progress.release} ${progress.phase} ${detail}`
      if (key === last) return
      last = key
      screen.write(`${phaseLine(progress, null, Infinity, palette)}\n`)
    },
    note: (text) => screen.write(`${text}\n`),
    end: () => {},
  }
}

/** The phase under way on one line that is drawn again and again, with its clock; finished phases stay above it. */
export function liveDisplay(screen: Screen, palette: Palette): Display {
  let current: { progress: Progress; since: number } | null = null
  let timer: NodeJS.Timeout | null = null
  const draw = (end: string): void => {
    if (current === null) return
    // One column is kept free: a line that fills the terminal wraps, and could not be drawn over.
    screen.write(`\r\u001b[2K${phaseLine(current.progress, screen.now() - current.since, Math.max(1, screen.columns() - 1), palette)}${end}`)
  }
  return {
    phase(progress) {
      if (current !== null && current.progress.phase === progress.phase && current.progress.release === progress.release) {
        current.progress = progress
      } else {
        draw('\n')
        current = { progress, since: screen.now() }
      }
      timer ??= setInterval(() => draw(''), frameMs).unref()
      draw('')
    },
    note(text) {
      screen.write(`\r\u001b[2K${text}\n`)
      draw('')
    },
    end() {
      if (timer !== null) clearInterval(timer)
      draw('\n')
      current = null
    },
  }
}

export function displayOn(screen: Screen, palette: Palette): Display {
  return screen.isTTY ? liveDisplay(screen, palette) : plainDisplay(screen, palette)
}

/** stderr; a dumb terminal cannot be drawn over and counts as none. */
export function stderrScreen(): Screen {
  return {
    isTTY: process.stderr.isTTY === true && process.env['TERM'] !== 'dumb',
    columns: () => process.stderr.columns || 80,
    write: (text) => void process.stderr.write(text),
    now: () => performance.now(),
  }
}

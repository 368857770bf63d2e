import { escapeName } from '../drops/name.ts'

/** Bytes; what file systems take for one part of a path (NAME_MAX), and far below what they take for all of it. */
const longestPart = 255
const longestPath = 1024
const deepest = 64

export type PathVerdict =
  /** Without `.` parts and doubled slashes; '' is the folder itself. */
  | { readonly ok: true; readonly path: string }
  /** The rest of the sentence "PATH …". */
  | { readonly ok: false; readonly why: string }

/** Whether a path from an archive leads to a place in the folder it is unpacked to. It is never mended, only taken or refused. */
export function judgePath(written: string): PathVerdict {
  if (written.startsWith('/')) return no('is an absolute path')
  if (hasControl(written)) return no('holds a control character')
  if (written.includes('\ufffd')) return no('is not valid UTF-8')
  if (Buffer.byteLength(written) > longestPath) return no(`is longer than ${longestPath} bytes`)
  const parts = written.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..')) return no('leads out of the folder with ".."')
  if (parts.length > deepest) return no(`lies more than ${deepest} folders deep`)
  if (parts.some((part) => Buffer.byteLength(part) > longestPart)) return no(`has a part longer than ${longestPart} bytes`)
  return { ok: true, path: parts.join('/') }
}

/**
 * Why the symlink at `path` (judged before) must not lead to `target`; null: it may. Only leading `..` are taken: they go
 * up from the link's own folder, which is real, since nothing is ever put below a link. A `..` behind a name could go up
 * from wherever a link of that name leads. So what is accepted stays inside however the links of the archive are followed.
 */
export function judgeLinkTarget(path: string, target: string): string | null {
  if (target === '') return 'leads nowhere'
  if (target.startsWith('/')) return `leads to the absolute path ${escapeName(target)}`
  if (hasControl(target) || target.includes('\ufffd') || Buffer.byteLength(target) > longestPath) return 'leads to a path that is not taken'
  const parts = target.split('/').filter((part) => part !== '' && part !== '.')
  const up = parts.findIndex((part) => part !== '..')
  const ups = up === -1 ? parts.length : up
  if (parts.slice(ups).includes('..')) return `leads to ${escapeName(target)}, with ".." behind a name`
  const depth = path.split('/').length - 1
  return ups > depth ? `leads out of the folder, to ${escapeName(target)}` : null
}

function hasControl(text: string): boolean {
  return /[\u0000-\u001f\u007f]/.test(text)
}

function no(why: string): PathVerdict {
  return { ok: false, why }
}

import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { GracerError } from '../../inherit/gracer-error.ts'
import { interpreterFor, whyNoBuild } from '../builds/kind.ts'

/** Stands in a command for the build: the path of the file, or of the folder. */
export const buildPlaceholder = '{build}'

/** The command with each `{build}` replaced by the build's path. */
export function withBuild(command: readonly string[], path: string): readonly string[] {
  return command.map((word) => word.replaceAll(buildPlaceholder, path))
}

/** The command as it was configured: without the preload that gracer puts into it. */
export function withoutPreload(booted: readonly string[]): readonly string[] {
  return booted[1] === '--import' && /\/inherit\/preload\.[jt]s$/.test(booted[2] ?? '') ? [booted[0] ?? '', ...booted.slice(3)] : booted
}

/** Whether a boot used this configured command; what stood for the build in it is not compared. */
export function isOf(booted: readonly string[], command: readonly string[]): boolean {
  const words = withoutPreload(booted)
  return words.length === command.length && command.every((word, index) => word.includes(buildPlaceholder) || word === words[index])
}

/**
 * What runs a single file for which no command is configured. A script for Node is run by `node`, so that its socket can
 * be passed; what has the x bit and says by what it is run (or is a program) runs by itself; any other script is run by what
 * its ending stands for. @throws GracerError 'no-command'
 */
export function commandForFile(folder: string, file: string): readonly string[] {
  const path = join(folder, file)
  const runs = (statSync(path).mode & 0o111) !== 0
  const shebang = readShebang(path)
  const interpreter = interpreterFor(file)
  if (interpreter === 'node' || runs && shebang !== null && isPlainNode(shebang)) return ['node', file]
  if (runs && (shebang !== null || interpreter === null)) return [`./${file}`]
  if (interpreter !== null) return [interpreter, file]
  const { what, hint } = whyNoBuild(file)
  throw new GracerError(`${file} ${what}`, { code: 'no-command', exitCode: 2, hint })
}

/** `#!/usr/bin/env node` and the like, without a flag that would be lost. */
function isPlainNode(shebang: string): boolean {
  const words = shebang.split(/\s+/)
  const program = basename(words[0] ?? '') === 'env' ? words.slice(1) : words
  return program.length === 1 && basename(program[0] ?? '') === 'node'
}

/** What stands behind `#!`; null: it does not begin so. The kernel reads 256 bytes at most (execve(2)). */
function readShebang(path: string): string | null {
  const fd = openSync(path, 'r')
  try {
    const buffer = Buffer.alloc(256)
    const first = buffer.toString('latin1', 0, readSync(fd, buffer, 0, 256, 0)).split('\n')[0] ?? ''
    return first.startsWith('#!') ? first.slice(2).trim() : null
  } finally {
    closeSync(fd)
  }
}

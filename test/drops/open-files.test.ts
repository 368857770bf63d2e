import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, symlink, writeFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findHolders } from '../../agent/drops/open-files.ts'
import { atEnd, build, scratch } from './support.ts'

/** A process that runs `code` and then waits for the end of its stdin. */
async function holder(code: string, cwd: string): Promise<number> {
  const child = spawn(process.execPath, ['-e', `${code}; console.log('up'); process.stdin.resume().once('end', () => process.exit())`], { cwd })
  atEnd(async () => {
    child.stdin.end()
    if (child.exitCode === null) await once(child, 'exit')
  })
  await once(child.stdout, 'data')
  return child.pid as number
}

describe('who works in a tree', () => {
  it('is whoever has its working folder there, or a file or folder of it open; and whether it writes', async () => {
    const root = scratch()
    const tree = build(join(root, 'v1'))
    const other = build(join(root, 'v1-other'))
    const cwd = await holder('', join(tree, 'lib'))
    const reads = await holder(`fs.openSync(${JSON.stringify(join(tree, 'server.mjs'))}, 'r')`, root)
    const writes = await holder(`fs.openSync(${JSON.stringify(join(tree, 'new'))}, 'w')`, root)
    const both = await holder('fs.openSync("log", "a"); fs.openSync("server.mjs", "r")', tree)
    const folder = await holder(`fs.openSync(${JSON.stringify(join(tree, 'lib'))}, 'r')`, root)
    await holder('fs.openSync("server.mjs", "w")', other)
    const scan = await findHolders([tree, join(root, 'nothing')])
    expect(scan.available).toBe(true)
    expect(scan.holders.get(join(root, 'nothing'))).toEqual([])
    const found = new Map(scan.holders.get(tree)?.map((each) => [each.pid, [each.command, each.resident, each.writing]]))
    expect(found).toEqual(new Map([
      [cwd, ['node', true, false]], [reads, ['node', false, false]], [writes, ['node', false, true]], [both, ['node', true, true]], [folder, ['node', false, false]],
    ]))
  })

  it('is not ourselves', async () => {
    const tree = build(join(scratch(), 'v1'))
    const file = await open(join(tree, 'server.mjs'), 'r+')
    atEnd(() => file.close())
    expect((await findHolders([tree])).holders.get(tree)).toEqual([])
  })

  it('says when there is no /proc', async () => {
    const root = scratch()
    expect(await findHolders([root], join(root, 'no-proc'))).toMatchObject({ available: false, unreadable: 0 })
    expect((await findHolders([root], root)).available).toBe(false)
  })

  it('reads a /proc laid out as in proc(5), and passes over what vanishes', async () => {
    const proc = scratch()
    await mkdir(join(proc, '77', 'fd'), { recursive: true })
    await mkdir(join(proc, '77', 'fdinfo'))
    await mkdir(join(proc, '78'))
    await symlink('/srv/releases/v1/app (deleted)', join(proc, '77', 'fd', '5'))
    await symlink('socket:[123]', join(proc, '77', 'fd', '6'))
    await writeFile(join(proc, '77', 'fdinfo', '5'), 'pos:\t0\nflags:\t0100002\nmnt_id:\t1\n')
    await writeFile(join(proc, '77', 'comm'), 'cp\n')
    const scan = await findHolders(['/srv/releases/v1'], proc)
    expect(scan.holders.get('/srv/releases/v1')).toEqual([{ pid: 77, command: 'cp', resident: false, writing: true }])
  })
})

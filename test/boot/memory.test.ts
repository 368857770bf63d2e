import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { groupMemory, memoryRoom, memoryWarning } from '../../agent/boot/memory.ts'

const MB = 1024 * 1024
const folders: string[] = []

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** A root folder with these files of /proc and /sys in it. */
function machine(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'gracer-test-'))
  folders.push(root)
  for (const [path, text] of Object.entries({ 'proc/meminfo': `MemTotal: 8000000 kB\nMemAvailable: ${4_000 * 1024} kB\n`, ...files })) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

it('takes what the machine has where no cgroup says less', () => {
  expect(memoryRoom(machine({}))).toEqual({ free: 4_000 * MB, limit: 'the machine' })
  expect(memoryRoom(machine({ 'proc/self/cgroup': '0::/app\n', 'sys/fs/cgroup/app/memory.max': 'max\n', 'sys/fs/cgroup/app/memory.current': '1\n' }))?.limit).toBe('the machine')
  expect(memoryRoom(machine({ 'proc/self/cgroup': '5:memory:/app\n', 'sys/fs/cgroup/memory/app/memory.limit_in_bytes': '9223372036854771712\n', 'sys/fs/cgroup/memory/app/memory.usage_in_bytes': '1\n' }))?.limit).toBe('the machine')
})

it('takes the tightest cgroup on the way up, with v2 and with v1, and counts what can be taken back as free', () => {
  const v2 = machine({
    'proc/self/cgroup': '0::/system.slice/app.service\n',
    'sys/fs/cgroup/system.slice/app.service/memory.max': `${2_000 * MB}\n`, 'sys/fs/cgroup/system.slice/app.service/memory.current': `${500 * MB}\n`,
    'sys/fs/cgroup/system.slice/memory.max': `${1_000 * MB}\n`, 'sys/fs/cgroup/system.slice/memory.current': `${900 * MB}\n`, 'sys/fs/cgroup/system.slice/memory.stat': `anon 1\ninactive_file ${200 * MB}\n`,
  })
  expect(memoryRoom(v2)).toEqual({ free: 300 * MB, limit: 'the memory limit of its cgroup' })
  const v1 = machine({
    'proc/self/cgroup': '9:cpu,cpuacct:/x\n4:memory:/docker/abc\n',
    'sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes': `${512 * MB}\n`, 'sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes': `${400 * MB}\n`,
    'sys/fs/cgroup/memory/docker/abc/memory.stat': `inactive_file 1\ntotal_inactive_file ${50 * MB}\n`,
  })
  expect(memoryRoom(v1)).toEqual({ free: 162 * MB, limit: 'the memory limit of its cgroup' })
})

it('says nothing where nothing can be read', () => {
  const root = mkdtempSync(join(tmpdir(), 'gracer-test-'))
  folders.push(root)
  expect(memoryRoom(root)).toBeNull()
  expect(memoryWarning(1, null)).toBeNull()
  expect(memoryWarning(null, { free: 0, limit: 'the machine' })).toBeNull()
})

it('warns where a second one of the same size would not fit, with both figures', () => {
  const room = { free: 300 * MB, limit: 'the machine' } as const
  expect(memoryWarning(300 * MB, room)).toBeNull()
  expect(memoryWarning(512 * MB, room)).toMatch(/the live one takes 512 MB, and the machine has 300 MB left/)
})

it.runIf(process.platform === 'linux')('reads what a real process group takes', () => {
  const stat = readFileSync('/proc/self/stat', 'utf8')
  const group = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2])
  expect(groupMemory(group)).toBeGreaterThan(10 * MB)
  expect(groupMemory(2 ** 22 + 1)).toBeNull()
})

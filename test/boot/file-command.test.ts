import { expect, it } from 'vitest'
import { isOf, withoutPreload } from '../../agent/boot/file-command.ts'
import { preloadUrl } from '../../inherit/preload-url.ts'

it('knows a boot for one of the configured command, with the preload in it or a path for the build', () => {
  const booted = ['node', '--import', preloadUrl(), '-r', 'x', '/b/v1/app.mjs']
  expect(withoutPreload(booted)).toEqual(['node', '-r', 'x', '/b/v1/app.mjs'])
  expect(isOf(booted, ['node', '-r', 'x', '{build}'])).toBe(true)
  expect(isOf(booted, ['node', '-r', 'x', '/b/v1/app.mjs'])).toBe(true)
  expect(isOf(booted, ['node', '-r', 'y', '{build}'])).toBe(false)
  expect(isOf(booted, ['node', '{build}'])).toBe(false)
  expect(isOf(['node', '--import', './mine.mjs', 'a.js'], ['node', 'a.js'])).toBe(false)
})

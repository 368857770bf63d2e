import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { closeFrame, FrameTracker } from '../../proxy/forward/websocket-frames.ts'
import { frame } from './frames.ts'

const anyFrame = fc.record({
  opcode: fc.constantFrom(0, 1, 2, 9, 10), length: fc.oneof(fc.nat(10), fc.constantFrom(0, 125, 126, 127, 65_535, 65_536, 70_000)), masked: fc.boolean(), fin: fc.boolean(),
}).map(({ opcode, length, masked, fin }) => frame(opcode, Buffer.alloc(length, 0x88), masked, fin))

describe('the frame tracker', () => {
  test('is at a boundary exactly between frames, however the bytes are cut up', () => {
    fc.assert(fc.property(fc.array(anyFrame, { minLength: 1, maxLength: 6 }), fc.array(fc.integer({ min: 1, max: 40_000 }), { maxLength: 30 }), (frames, cuts) => {
      const whole = Buffer.concat(frames)
      const boundaries = new Set([0])
      let end = 0
      for (const one of frames) boundaries.add(end += one.length)
      const tracker = new FrameTracker()
      let at = 0
      for (const cut of [...cuts, whole.length]) {
        const piece = whole.subarray(at, at + cut)
        expect(tracker.pass(piece)).toBe(piece.length)
        at += piece.length
        expect(tracker.atBoundary).toBe(boundaries.has(at))
      }
      expect(tracker.closed).toBe(false)
    }), { numRuns: 200 })
  })

  test('stops at the first boundary when told to', () => {
    fc.assert(fc.property(anyFrame, anyFrame, fc.nat(200_000), (first, second, split) => {
      const whole = Buffer.concat([first, second])
      const tracker = new FrameTracker()
      const already = split % first.length
      tracker.pass(whole.subarray(0, already))
      expect(tracker.pass(whole.subarray(already), 0, true)).toBe(first.length - already)
      expect(tracker.atBoundary).toBe(true)
    }), { numRuns: 200 })
  })

  test('byte by byte it sees a close frame when its last byte has gone by', () => {
    for (const masked of [false, true]) {
      const bytes = Buffer.concat([frame(2, Buffer.alloc(300), masked), frame(8, Buffer.from([3, 232, 65]), masked)])
      const tracker = new FrameTracker()
      for (let at = 0; at < bytes.length; at += 1) {
        expect(tracker.closed).toBe(false)
        tracker.pass(bytes.subarray(at, at + 1))
      }
      expect(tracker.closed).toBe(true)
    }
  })

  test('a length of 2^40 is followed without being held', () => {
    const tracker = new FrameTracker()
    tracker.pass(Buffer.from([0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0]))
    tracker.pass(Buffer.alloc(100_000))
    expect(tracker.atBoundary).toBe(false)
  })
})

test('a close frame says 1001, masked towards a server', () => {
  expect([...closeFrame(1001, false)]).toEqual([0x88, 2, 3, 0xe9])
  const masked = closeFrame(1001, true)
  expect([masked[0], masked[1], masked.length]).toEqual([0x88, 0x82, 8])
  expect([(masked[6] as number) ^ (masked[2] as number), (masked[7] as number) ^ (masked[3] as number)]).toEqual([3, 0xe9])
})

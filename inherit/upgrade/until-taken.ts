import type { Channel } from './channel.ts'

/** Says ready, and is held back until the other side says TAKE. With that one gone nobody serves: then it is time as well. */
export function untilTaken(channel: Channel): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      channel.events.off('line', onLine)
      channel.events.off('end', done)
      channel.unref()
      resolve()
    }
    const onLine = (key: string): void => {
      if (key === 'TAKE') done()
    }
    channel.events.on('line', onLine)
    channel.events.on('end', done)
    channel.ref()
    if (channel.ended) return done()
    channel.stream.write('READY=1\n')
  })
}

// Loaded into every process of a gracer through NODE_OPTIONS; does something only in its first worker:
// blocks it for 50 ms whenever a flip is prepared or committed, as a long garbage collection would.
const start = process.argv[1]?.endsWith('proxy/worker/main.js') ? JSON.parse(process.argv[2]) : null
if (start?.index === 1) {
  process.prependListener('message', (message) => {
    if (message.type !== 'prepare' && message.type !== 'commit') return
    for (const end = performance.now() + 50; performance.now() < end; );
  })
}

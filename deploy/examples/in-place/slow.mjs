// Every reply takes ten seconds. `kill -HUP PID` under `ab -v 1 -k -c 2 -n 100 http://127.0.0.1:3000/` loses none: the old
// process finishes what it has, for 20 seconds at most, and then exits with 0 whatever is left.
import { serve } from 'gracer'

const seconds = Number(process.env.SECONDS_A_REPLY ?? 10)

const { generation } = await serve(
  (_request, response) => void setTimeout(() => response.end(`slept ${seconds} s in pid ${process.pid}\n`), seconds * 1000),
  { port: Number(process.env.PORT ?? 3000), drainTimeoutMs: 20_000, signals: { SIGHUP: true } },
)
console.log(`slow: pid ${process.pid}, generation ${generation}`)

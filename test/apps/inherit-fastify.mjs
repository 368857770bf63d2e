// An unmodified Fastify 5 program.
import Fastify from 'fastify'

const app = Fastify()
app.get('/', async () => ({ pid: process.pid }))
const options = { port: Number(process.env.PORT) }
if (process.env.APP_HOST) options.host = process.env.APP_HOST
await app.listen(options)

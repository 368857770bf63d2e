// An express app, unchanged: gracer hands it the listening socket without its knowing.
// Run in a checkout of gracer it finds express there; elsewhere: npm install express
import express from 'express'
import { basename } from 'node:path'

const release = process.env.GRACER_RELEASE ?? basename(import.meta.dirname)
const app = express()

app.get('/', (_req, res) => {
  res.type('text').send(`hello from express, release ${release}\n`)
})

app.get('/healthz', (_req, res) => {
  res.type('text').send('ok\n')
})

const server = app.listen(process.env.PORT ?? 3000, (error) => {
  // express hands a failure to listen to this callback; unthrown it would be a program that runs and serves nothing.
  if (error) throw error
  console.log(`express: release ${release}, on port ${server.address()?.port}`)
})

// gracer sends SIGTERM only when no request is left, so this is quick; without gracer it is still the polite way.
process.on('SIGTERM', () => {
  server.close(() => process.exit(0))
})

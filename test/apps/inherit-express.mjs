// An unmodified Express 5 program: it knows PORT and nothing of gracer.
import express from 'express'

const app = express()
app.get('/', (request, response) => {
  response.json({ pid: process.pid, env: Object.keys(process.env).filter((name) => /^(LISTEN_|GRACER_)/.test(name)) })
})
app.listen(process.env.PORT, () => console.log('express is up'))

// The app under load, written as anybody would write it: it knows PORT and nothing of gracer.
import { leaveOnSigterm, listenWhenDue, misbehaveAtBoot } from './load-behaviour.mjs'
import { releaseName } from './load-contract.mjs'
import { createLoadServer } from './load-server.mjs'

misbehaveAtBoot()
const release = releaseName()
const { server, sockets, streams } = createLoadServer(release)

listenWhenDue(() => {
  server.listen(process.env.PORT ?? 3000, process.env.HOST, () => {
    console.log(`release ${release}, pid ${process.pid}, listening on port ${server.address()?.port}`)
  })
})
leaveOnSigterm(server, sockets.clients, streams)

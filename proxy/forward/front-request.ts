import { IncomingMessage } from 'node:http'
import { ClientConnection } from './client-connection.ts'

/**
 * Node treats every request with an Upgrade field alike: as an upgrade, as soon as the server listens for those. Here
 * only a WebSocket handshake is one. Anything else (`Upgrade: h2c`, which curl and Java send unasked) stays an ordinary
 * request, whose Upgrade field is left out, as RFC 9110 7.8 allows; its connection ends with the reply. A handshake behind
 * an unanswered request stays an ordinary request as well: the connection is not free yet.
 *
 * Node assigns `upgrade` when the head has been parsed and reads it when it decides, both by name; that is what makes an
 * accessor work on every version, where the server option `shouldUpgradeCallback` came with 24.9 only.
 */
export class FrontRequest extends IncomingMessage {
  #asked = false

  get upgrade(): boolean {
    return this.#asked && this.#isHandshake() && ClientConnection.of(this.socket)?.busy !== true
  }

  set upgrade(asked: unknown) {
    // IncomingMessage's constructor assigns it as well, before this class has its fields.
    if (#asked in this) this.#asked = asked === true
  }

  /**
   * Asked for an upgrade and treated as an ordinary request. Node's parser has then stopped at the end of this request
   * and throws away what else came in the same packet: nothing behind it may be taken up, or two readers of one
   * connection would differ on where a request begins.
   */
  get upgradeIgnored(): boolean {
    return this.#asked && !this.upgrade
  }

  #isHandshake(): boolean {
    if (this.method !== 'GET' || this.httpVersion !== '1.1') return false
    const { upgrade, 'content-length': length, 'transfer-encoding': coding } = this.headers
    return upgrade?.toLowerCase() === 'websocket' && length === undefined && coding === undefined
  }
}

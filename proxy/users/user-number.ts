import { isNearby } from '../forward/forwarded.ts'
import { addressGroup } from './address-group.ts'

/**
 * A user's number, from 0 up to, and not including, 2^32: the same in every process for the same key. FNV-1a, and the
 * last steps of MurmurHash3, without which neighbouring keys have neighbouring numbers.
 */
export function userNumber(key: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < key.length; at += 1) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** By the client's address; null: loopback and private ones tell nobody apart, a front end may stand there. */
export function userByAddress(address: string): number | null {
  return isNearby(address) ? null : userNumber(`a:${addressGroup(address)}`)
}

/** Somebody who is told apart by nothing but the connection. */
export function someUser(): number {
  return Math.floor(Math.random() * 2 ** 32)
}

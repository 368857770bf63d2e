import { createHmac, timingSafeEqual } from 'node:crypto'

/** 16 bytes of HMAC-SHA256, in base64url: what cannot be guessed, and is short enough for a cookie. */
export const signatureLength = 22

export function sign(secret: string, purpose: string, text: string): string {
  return createHmac('sha256', secret).update(`${purpose}:${text}`).digest().subarray(0, 16).toString('base64url')
}

export function isSigned(secret: string, purpose: string, text: string, signature: string): boolean {
  if (signature.length !== signatureLength) return false
  return timingSafeEqual(Buffer.from(sign(secret, purpose, text)), Buffer.from(signature, 'latin1'))
}

/** Texts that are told apart by a pattern, for the schema and for what reads a plain gracer.json without it. */

export const healthPath = /^\/[\u0021-\u007e]*$/
export const healthHost = /^[A-Za-z0-9.:_[\]-]{1,255}$/
/** Of the backend; those of gracer are not the user's to set. */
export const variableName = /^(?!GRACER_|LISTEN_(?:FDS|PID|FDNAMES)$)[A-Za-z_][A-Za-z0-9_.-]*$/

/** What every command takes. */
export interface CommonOptions {
  readonly config?: string
  readonly state?: string
  /** Absent: the one service, `default`. */
  readonly service?: string
  readonly json: boolean
  /** False for --no-color; what the terminal allows is decided in color.ts. */
  readonly color: boolean
}

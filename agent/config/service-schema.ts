import { z } from 'zod'
import { canaryKey } from './canary-schema.ts'
import { defaults } from './defaults.ts'
import { size } from './front-schema.ts'
import { commands, commandText, duration, fieldValue, group, noNul, number, oneOf, pathText, percent, text, token, whole, yesOrNo } from './kinds.ts'
import { healthHost, healthPath, variableName } from './patterns.ts'
import { largestSize } from './sizes.ts'
import { parseExpect } from './units.ts'

/**
 * The keys of one service, as they stand at the top of a flat gracer.json and within each entry of `services`.
 * A key is added here, with its default in defaults.ts; what becomes of it stands in service-config.ts.
 */

const health = {
  path: text('a path that begins with "/", or null', healthPath, 'What is asked for. Without it: below 500 on "/" is healthy.').nullable().prefault(defaults.health.path),
  host: text('a host name, with or without a port', healthHost, 'The Host header of a probe.').prefault(defaults.health.host),
  headers: z
    .record(
      z.string().regex(token, { error: 'a header name' }),
      z.string({ error: 'the header\'s value as a string' }).regex(fieldValue, { error: 'a header value without control characters or spaces at its ends' }),
      { error: (issue) => (issue.code === 'invalid_type' ? 'an object, { … }' : undefined) },
    )
    .meta({ description: 'More headers of a probe.' })
    .prefault({}),
  expect: z
    .string({ error: 'status codes from 200 to 599, such as "200-299" or "200,204,300-399"' })
    .transform((written, context) => {
      const ranges = parseExpect(written)
      if (ranges !== undefined) return ranges
      context.addIssue('status codes from 200 to 599, such as "200-299" or "200,204,300-399"')
      return z.NEVER
    })
    .meta({ description: 'Status codes that mean healthy.' })
    .prefault(defaults.health.expect),
  interval: duration('Between two probes, once the first quick tries are over.').prefault(defaults.health.interval),
  timeout: duration('One probe has failed after this.').prefault(defaults.health.timeout),
  successes: whole(1, 100, 'So many probes in a row must succeed.').prefault(defaults.health.successes),
  deadline: duration('A release that is not healthy by then has failed; counted from its start.').prefault(defaults.health.deadline),
}

const drain = {
  timeout: duration('Requests still in flight on the old release are cut after this.').prefault(defaults.drain.timeout),
  streams: duration('Event streams are ended after this.', 0).prefault(defaults.drain.streams),
  upgraded: duration('WebSockets get a close frame after this.', 0).prefault(defaults.drain.upgraded),
  spread: duration('Streams and WebSockets are ended spread over this time.', 0).prefault(defaults.drain.spread),
  stop: duration('SIGTERM to SIGKILL.').prefault(defaults.drain.stop),
}

const bakeRule = {
  users: whole(1, 1_000_000, 'So many distinct users at least met an error since the flip ...').prefault(defaults.bakeRule.users),
  floor: percent('... they are so large a share of those seen ...').prefault(defaults.bakeRule.floor),
  factor: number(1, 1_000, '... and that is so many times the share of the old release in its last ten minutes.').prefault(defaults.bakeRule.factor),
  withoutBaseline: percent('The share instead of the last two where fewer users of the old release are known than `users`.').prefault(defaults.bakeRule.withoutBaseline),
}

const hold = {
  timeout: duration('A request waits so long for a backend that is restarting, then gets 503.').prefault(defaults.hold.timeout),
  max: whole(0, 100_000, 'So many requests wait at most, over all workers.').prefault(defaults.hold.max),
  pace: whole(1, 1_000_000, 'Requests a second with which "gracer resume" begins to let go what waited; it grows.').prefault(defaults.hold.pace),
}

const builds = {
  size: size('What one build may hold, unpacked: of archives, single files, and private copies of a watched path.', 1_000, largestSize).prefault(defaults.builds.size),
  files: whole(1, 10_000_000, 'Files, folders and links that one of these may hold.').prefault(defaults.builds.files),
  sha256: oneOf(['optional', 'required'], 'Whether an archive or single file without NAME.sha256 beside it is taken; one that is dropped waits for it.').prefault(defaults.builds.sha256),
}

const hooks = {
  prepare: commands('Before the first boot of a build: npm ci, a build step. Failure fails the deploy.').prefault([]),
  release: commands('Once for a build, before its first boot, while the old release serves: migrations. Failure fails the deploy.').prefault([]),
  confirmed: commands('After the bake. Failure is a warning.').prefault([]),
  timeout: duration('Each command is ended after this.').prefault(defaults.hooks.timeout),
}

export const serviceKeys = {
  releases: text(`${pathText}, or null`, noNul, 'The folder watched for drops; relative to this file. Without it an existing ./releases is taken.').nullable().optional(),
  watch: text(`${pathText}, or null`, noNul, 'One file or folder that is replaced in place, instead of `releases`; relative to this file.').nullable().optional(),
  command: z
    .array(z.string({ error: 'a string' }).regex(/^[^\u0000]*$/, { error: 'a string without NUL' }), { error: commandText })  
    .min(1, { error: commandText, abort: true })
    .refine((words) => words[0] !== '', { error: 'a program as its first string' })
    .nullable()
    .meta({ description: 'What boots a release, in its folder. Without it: inferred from what lies there.' })
    .prefault(defaults.command),
  socket: oneOf(['auto', 'inherit', 'port'], 'How the backend gets its socket.').prefault(defaults.socket),
  env: z
    .record(
      z.string().regex(variableName, { error: 'the name of a variable (those of gracer, GRACER_* and LISTEN_*, are not yours to set)' }),
      z.string({ error: 'a string' }).regex(/^[^\u0000]*$/, { error: 'a string without NUL' }),  
      { error: (issue) => (issue.code === 'invalid_type' ? 'an object, { … }' : undefined) },
    )
    .meta({ description: 'More variables for the backend.' })
    .prefault({}),
  envFile: text(`${pathText}, or null`, noNul, 'KEY=value lines for the backend, read before env; relative to this file.').nullable().prefault(defaults.envFile),
  keep: whole(1, 1000, 'How many releases are kept beside the live one.').prefault(defaults.keep),
  settle: duration('A drop in which nothing has changed for so long is taken for whole.').prefault(defaults.settle),
  builds: group(builds, 'What a build that is no folder may be: archives and single files.'),
  health: group(health, 'When a release is healthy.'),
  drain: group(drain, 'How the old release is let go.'),
  bake: duration('How long the old release stays as a way back.', 0).prefault(defaults.bake),
  bakeRule: group(bakeRule, 'When a release goes back in its bake because of its users: a heuristic, docs/canary.md.'),
  previousAssets: yesOrNo('Whether the release before, while it is a way back, is asked for a hashed asset (main.3f2a1b4c.js) for which the live one answers 404.').prefault(defaults.previousAssets),
  onCrashLoop: oneOf(['hold', 'rollback'], 'What to do when a confirmed release crashes again and again.').prefault(defaults.onCrashLoop),
  hold: group(hold, 'Requests while nothing can answer.'),
  canary: canaryKey,
  overlap: yesOrNo('Whether old and new release may run beside each other. false: the old one ends before the new one boots.').prefault(defaults.overlap),
  hooks: group(hooks, 'Commands around a deploy, run in the build\'s folder.'),
  ports: z
    .record(
      z.string().regex(/^(?!(?:PORT|HOST)$|GRACER_|LISTEN_)[A-Za-z_][A-Za-z0-9_]*$/, { error: 'the name of a variable (PORT and HOST, GRACER_* and LISTEN_* are not yours to set)' }),
      z.union([z.literal('auto'), z.int().min(1).max(65_535)], { error: '"auto", or a port number where "overlap" is false' }),
      { error: (issue) => (issue.code === 'invalid_type' ? 'an object, { … }' : undefined) },
    )
    .meta({ description: 'More ports of the backend, by the variable that tells it the number. "auto": a free one for each release.' })
    .prefault({}),
}

export type ServiceValues = z.output<z.ZodObject<typeof serviceKeys>>

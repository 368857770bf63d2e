/**
 * A strict reader of Prometheus' text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats): throws on
 * everything the format forbids and on what its readers reject: a family in two pieces, a sample twice, a HELP or TYPE
 * behind samples, a histogram whose buckets fall or do not end with +Inf.
 */
export interface Family {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly samples: readonly { readonly name: string; readonly labels: Readonly<Record<string, string>>; readonly value: number }[]
}

const nameText = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const valueText = '[+-]?(?:\\d+(?:\\.\\d+)?(?:[eE][+-]?\\d+)?|Inf)|NaN'

export function parseExposition(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line is not ended')
  const families = new Map<string, { name: string; type: string; help: string; samples: { name: string; labels: Record<string, string>; value: number }[] }>()
  const seen = new Set<string>()
  let current: string | null = null
  for (const line of text.slice(0, -1).split('\n')) {
    const fail = (why: string): never => { throw new Error(`${why}: ${JSON.stringify(line)}`) }
    const help = new RegExp(`^# HELP (${nameText}) (.*)$`).exec(line)
    const type = new RegExp(`^# TYPE (${nameText}) (counter|gauge|histogram)$`).exec(line)
    if (help !== null) {
      const [, name = '', words = ''] = help
      if (families.has(name)) fail('a second HELP, or a family in two pieces')
      if (/\\(?![\\n])/.test(words)) fail('a bad escape in HELP')
      families.set(name, { name, type: '', help: words, samples: [] })
      current = name
    } else if (type !== null) {
      const [, name = '', kind = ''] = type
      const family = families.get(name)
      if (family === undefined || current !== name || family.type !== '' || family.samples.length > 0) fail('TYPE in the wrong place')
      else family.type = kind
    } else {
      const sample = new RegExp(`^(${nameText})(?:\\{(.*)\\})? (${valueText})$`).exec(line)
      if (sample === null) return fail('no sample')
      const [, name = '', pairs, value = ''] = sample
      const family = families.get(current ?? '')
      if (family === undefined || family.type === '') return fail('a sample without TYPE')
      const own = family.type === 'histogram' ? [`${family.name}_bucket`, `${family.name}_sum`, `${family.name}_count`] : [family.name]
      if (!own.includes(name)) fail(`a sample of another family than ${family.name}`)
      if (family.type === 'counter' && !name.endsWith('_total')) fail('a counter whose name does not end with _total')
      const labels = pairs === undefined ? {} : labelsOf(pairs, fail)
      const key = `${name} ${JSON.stringify(Object.entries(labels).sort())}`
      if (seen.has(key)) fail('the same sample twice')
      seen.add(key)
      family.samples.push({ name, labels, value: Number(value.replace('Inf', 'Infinity')) })
    }
  }
  for (const family of families.values()) if (family.type === 'histogram') checkHistogram(family)
  return families
}

function labelsOf(text: string, fail: (why: string) => never): Record<string, string> {
  const labels: Record<string, string> = {}
  const pair = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/y
  let end = ''
  while (pair.lastIndex < text.length) {
    const found = pair.exec(text)
    if (found === null) return fail('bad labels')
    const [, name = '', value = '', comma = ''] = found
    if (Object.hasOwn(labels, name)) fail('a label twice')
    labels[name] = value.replace(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char))
    end = comma
  }
  if (end === ',') fail('a comma at the end')
  return labels
}

function checkHistogram(family: Family): void {
  const series = new Map<string, { buckets: [number, number][]; sum: number | null; count: number | null }>()
  for (const { name, labels, value } of family.samples) {
    const { le, ...rest } = labels
    const key = JSON.stringify(rest)
    const one = series.get(key) ?? { buckets: [], sum: null, count: null }
    series.set(key, one)
    if (name.endsWith('_bucket')) one.buckets.push([le === '+Inf' ? Infinity : Number(le), value])
    else if (name.endsWith('_sum')) one.sum = value
    else one.count = value
  }
  for (const [key, { buckets, sum, count }] of series) {
    const fine = sum !== null && count !== null && buckets.at(-1)?.[0] === Infinity && buckets.at(-1)?.[1] === count
      && buckets.every(([edge, below], index) => index === 0 || (edge > (buckets[index - 1]?.[0] ?? NaN) && below >= (buckets[index - 1]?.[1] ?? NaN)))
    if (!fine) throw new Error(`${family.name}${key} is no histogram: ${JSON.stringify({ buckets, sum, count })}`)
  }
}

/** The value of one sample; undefined where there is none. */
export function valueOf(families: Map<string, Family>, name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
  const family = families.get(name) ?? families.get(name.replace(/_(?:bucket|sum|count)$/, ''))
  return family?.samples.find((sample) => sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value))?.value
}

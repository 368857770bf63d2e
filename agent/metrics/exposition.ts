/**
 * The text format of Prometheus, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats): families with HELP
 * and TYPE, each in one block, label values escaped, the last line ended.
 */
export const expositionType = 'text/plain; version=0.0.4; charset=utf-8'

export type Labels = Readonly<Record<string, string>>

export class Exposition {
  #text = ''

  counter(name: string, help: string, samples: readonly Sample[]): void {
    this.#family(name, help, 'counter', samples)
  }

  gauge(name: string, help: string, samples: readonly Sample[]): void {
    this.#family(name, help, 'gauge', samples)
  }

  histogram(name: string, help: string, histograms: readonly HistogramSample[]): void {
    if (histograms.length === 0) return
    this.#head(name, help, 'histogram')
    for (const { labels, buckets, count, sum } of histograms) {
      for (const [edge, below] of buckets) this.#sample(`${name}_bucket`, { ...labels, le: String(edge) }, below)
      this.#sample(`${name}_bucket`, { ...labels, le: '+Inf' }, count)
      this.#sample(`${name}_sum`, labels, sum)
      this.#sample(`${name}_count`, labels, count)
    }
  }

  toString(): string {
    return this.#text
  }

  #family(name: string, help: string, type: string, samples: readonly Sample[]): void {
    if (samples.length === 0) return
    this.#head(name, help, type)
    for (const [labels, value] of samples) this.#sample(name, labels, value)
  }

  #head(name: string, help: string, type: string): void {
    this.#text += `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${type}\n`
  }

  #sample(name: string, labels: Labels, value: number): void {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
    this.#text += `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}\n`
  }
}

export type Sample = readonly [labels: Labels, value: number]

export interface HistogramSample {
  readonly labels: Labels
  /** Upper edge and how many were at most that, rising. */
  readonly buckets: readonly (readonly [edge: number, below: number])[]
  readonly count: number
  readonly sum: number
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

/** Measurements by name: medians, and how they compare. */
import { formatBytes } from '../../src/base/units.ts';

export interface Measurement {
  /** Wall time. */
  readonly ms: number;
  /** Processor time of the program and its children, where it is known. */
  readonly cpuMs?: number;
  /** Highest resident memory of one process. */
  readonly peakBytes?: number;
}

interface Comparison {
  readonly text: string;
  readonly ratio: number;
  readonly reached: boolean | undefined;
}

export class Figures {
  readonly #all = new Map<string, Measurement[]>();
  readonly #comparisons: Comparison[] = [];

  add(name: string, measurement: Measurement): void {
    const list = this.#all.get(name) ?? [];
    list.push(measurement);
    this.#all.set(name, list);
    const { ms, cpuMs } = measurement;
    console.log(
      `  ${name}: ${ms.toFixed(0)} ms${cpuMs === undefined ? '' : `, processor ${cpuMs.toFixed(0)} ms`}`,
    );
  }

  /** Median of one kind of figure; undefined where it was not measured. */
  median(name: string, kind: keyof Measurement): number | undefined {
    const values = (this.#all.get(name) ?? [])
      .flatMap((entry) => entry[kind] ?? [])
      .toSorted((a, b) => a - b);
    return values[Math.floor(values.length / 2)];
  }

  /** `a` divided by `b`, and whether that is at most (`<=`) or at least (`>=`) the target. */
  compare(
    text: string,
    [a, b]: readonly [string, string],
    target?: readonly ['<=' | '>=', number],
    kind: keyof Measurement = 'ms',
  ): void {
    const [first, second] = [this.median(a, kind), this.median(b, kind)];
    if (first === undefined || second === undefined) return;
    this.value(text, first / second, target);
  }

  value(text: string, ratio: number, target?: readonly ['<=' | '>=', number]): void {
    const reached =
      target === undefined ? undefined : target[0] === '<=' ? ratio <= target[1] : ratio >= target[1];
    this.#comparisons.push({
      text: target === undefined ? text : `${text} (target ${target[0]} ${target[1]})`,
      ratio,
      reached,
    });
  }

  table(): string {
    const rows = [...this.#all.keys()].map((name) => {
      const [ms = 0, cpu, peak] = (['ms', 'cpuMs', 'peakBytes'] as const).map((kind) =>
        this.median(name, kind),
      );
      const count = this.#all.get(name)?.length ?? 0;
      return `| ${name} | ${ms.toFixed(0)} ms | ${cpu === undefined ? '' : `${cpu.toFixed(0)} ms`} | ${peak === undefined ? '' : formatBytes(peak)} | ${count} |`;
    });
    return [
      '',
      '| what | median | processor | peak memory | runs |',
      '|---|---:|---:|---:|---:|',
      ...rows,
    ].join('\n');
  }

  comparisons(): string {
    const rows = this.#comparisons.map(
      ({ text, ratio, reached }) =>
        `| ${text} | ${ratio >= 100 ? ratio.toFixed(0) : ratio.toFixed(2)} | ${reached === undefined ? '' : reached ? 'reached' : 'missed'} |`,
    );
    return ['', '| comparison | value | |', '|---|---:|---|', ...rows].join('\n');
  }

  toJSON(): unknown {
    return { measurements: Object.fromEntries(this.#all), comparisons: this.#comparisons };
  }
}

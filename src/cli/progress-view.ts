/** The steps of a build as they happen: one line each, redrawn on a terminal, plain lines elsewhere. */
import { formatDuration } from '../base/units.ts';
import { cut, pad, type Terminal } from './terminal.ts';

export type StepStatus = 'pending' | 'running' | 'done' | 'reused' | 'failed' | 'skipped';

export interface StepLine {
  readonly name: string;
  readonly status: StepStatus;
  /** What it is doing now, or what came of it. */
  readonly detail: string;
  readonly durationMs?: number;
}

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const REDRAW_MS = 100;
const NAME_WIDTH = 14;
const TIME_WIDTH = 11;

export class ProgressView implements Disposable {
  readonly #terminal: Terminal;
  readonly #steps = new Map<string, StepLine & { startedAt: number }>();
  readonly #timer: NodeJS.Timeout | undefined;
  #drawn = 0;
  #frame = 0;

  constructor(terminal: Terminal, names: readonly string[]) {
    this.#terminal = terminal;
    for (const name of names) this.#steps.set(name, { name, status: 'pending', detail: '', startedAt: 0 });
    if (terminal.live) {
      this.#timer = setInterval(() => this.#draw(), REDRAW_MS);
      this.#timer.unref();
      this.#draw();
    }
  }

  /** A step began, told more, or ended. */
  update(line: StepLine): void {
    const before = this.#steps.get(line.name);
    const begins = line.status === 'running' && before?.status !== 'running';
    const startedAt = begins ? performance.now() : (before?.startedAt ?? performance.now());
    this.#steps.set(line.name, { ...line, startedAt });
    if (this.#terminal.live) return;
    if (begins || (line.status !== 'running' && before?.status !== line.status))
      this.#terminal.write(`${this.#format(line)}\n`);
  }

  /** A line above the steps, e.g. from the log. */
  print(text: string): void {
    this.#erase();
    this.#terminal.write(`${text}\n`);
    if (this.#timer !== undefined) this.#draw();
  }

  /** Leaves the last state on the screen. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    if (this.#terminal.live) this.#draw();
    this.#drawn = 0;
  }

  #erase(): void {
    if (this.#drawn > 0) this.#terminal.write(`\u001B[${this.#drawn}A\u001B[0J`);
    this.#drawn = 0;
  }

  #draw(): void {
    this.#frame++;
    const lines = [...this.#steps.values()].map((step) => this.#format(step, step.startedAt));
    this.#erase();
    this.#terminal.write(`${lines.join('\n')}\n`);
    this.#drawn = lines.length;
  }

  #format(step: StepLine, startedAt?: number): string {
    const { style, columns } = this.#terminal;
    const elapsed =
      step.status === 'running' && startedAt !== undefined ? performance.now() - startedAt : step.durationMs;
    const time = elapsed === undefined || step.status === 'pending' ? '' : formatDuration(elapsed);
    const detailWidth = Math.max(10, columns - NAME_WIDTH - TIME_WIDTH - 4);
    const detail = pad(cut(step.detail, detailWidth), detailWidth);
    return `${this.#symbol(step.status)} ${pad(step.status === 'pending' ? style('dim', step.name) : step.name, NAME_WIDTH)} ${detail}${style('dim', time.padStart(TIME_WIDTH))}`.trimEnd();
  }

  #symbol(status: StepStatus): string {
    const { style } = this.#terminal;
    switch (status) {
      case 'pending':
        return style('dim', '·');
      case 'running':
        return style('cyan', this.#terminal.live ? (FRAMES[this.#frame % FRAMES.length] ?? '') : '>');
      case 'done':
        return style('green', '✓');
      case 'reused':
        return style('blue', '↺');
      case 'failed':
        return style('red', '✗');
      case 'skipped':
        return style('dim', '-');
    }
  }
}

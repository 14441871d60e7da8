/** An error on the terminal: what happened, where, what to do. */
import type { Failure } from '../base/error.ts';
import type { Terminal } from './terminal.ts';

export function printFailure(terminal: Terminal, failure: Failure): void {
  const lines = [`${terminal.style(['red', 'bold'], 'error:')} ${failure.message}`];
  if (failure.where !== undefined && failure.where !== '') {
    lines.push('', ...failure.where.split('\n').map((line) => `  ${line}`));
  }
  if (failure.hint !== undefined) {
    const [first = '', ...rest] = failure.hint.split('\n');
    lines.push(
      '',
      `${terminal.style(['cyan', 'bold'], 'hint:')} ${first}`,
      ...rest.map((line) => `      ${line}`),
    );
  }
  terminal.write(`${lines.join('\n')}\n`);
}

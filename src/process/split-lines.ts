/** Splits a byte stream into lines without breaking UTF-8 sequences; a line has at most 1 MiB, the rest starts a new one. */
import { StringDecoder } from 'node:string_decoder';

const MAX_LINE = 2 ** 20;

export function splitLines(onLine: (line: string) => void): { write(chunk: Buffer): void; end(): void } {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  return {
    write(chunk) {
      const text = rest + decoder.write(chunk);
      let start = 0;
      for (let newline = text.indexOf('\n'); newline >= 0; newline = text.indexOf('\n', start)) {
        onLine(text.slice(start, newline).replace(/\r$/, ''));
        start = newline + 1;
      }
      rest = text.slice(start);
      while (rest.length > MAX_LINE) {
        onLine(rest.slice(0, MAX_LINE));
        rest = rest.slice(MAX_LINE);
      }
    },
    end() {
      rest += decoder.end();
      if (rest !== '') onLine(rest);
      rest = '';
    },
  };
}

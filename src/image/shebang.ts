/** The first line of a script: `#!interpreter [argument]`, as Linux reads it (execve(2)). */
export interface Shebang {
  readonly interpreter: string;
  /** Everything after the interpreter, as one argument. */
  readonly argument?: string;
}

/** Linux reads this many bytes of a script's first line. */
export const SHEBANG_LIMIT = 256;

/** Undefined when the file does not start with `#!` and an interpreter. */
export function readShebang(start: Buffer): Shebang | undefined {
  if (start[0] !== 0x23 || start[1] !== 0x21) return undefined;
  const line = start.toString('latin1', 2, SHEBANG_LIMIT).split('\n', 1)[0] ?? '';
  const match = /^[ \t]*([^ \t]+)(?:[ \t]+(.*?))?[ \t]*$/.exec(line);
  if (match?.[1] === undefined) return undefined;
  return {
    interpreter: match[1],
    ...(match[2] === undefined || match[2] === '' ? {} : { argument: match[2] }),
  };
}

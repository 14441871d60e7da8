/** The short form of the command line and of links: an address with what to take from it. */
import { KilnError } from '../base/error.ts';

export interface GitReference {
  /** For `parseGitUrl`, which checks it. */
  readonly address: string;
  /** Branch, tag or commit. */
  readonly ref?: string;
  readonly subdirectory?: string;
}

/** Splits `ADDRESS[?ref=…|rev=…[&dir=…]]`. @throws KilnError git-url for other parameters */
export function splitGitReference(text: string): GitReference {
  const mark = text.indexOf('?');
  if (mark < 0) return { address: text };
  const parameters = new URLSearchParams(text.slice(mark + 1));
  for (const name of parameters.keys()) {
    if (name === 'ref' || name === 'rev' || name === 'dir') continue;
    throw new KilnError('git-url', `The parameter "${name}" is not known after a repository's address`, {
      hint: 'Use ?ref=BRANCH-OR-TAG, ?rev=COMMIT and &dir=FOLDER.',
    });
  }
  const ref = parameters.get('rev') ?? parameters.get('ref');
  const subdirectory = parameters.get('dir');
  return {
    address: text.slice(0, mark),
    ...(ref === null ? {} : { ref }),
    ...(subdirectory === null ? {} : { subdirectory }),
  };
}

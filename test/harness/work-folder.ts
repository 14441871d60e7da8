/** A temporary folder that goes away with the test. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface WorkFolder extends Disposable {
  readonly path: string;
  /** Writes a file and gives its absolute path. */
  write(name: string, content: string): string;
}

export function workFolder(): WorkFolder {
  const path = mkdtempSync(join(tmpdir(), 'kiln-test-'));
  return {
    path,
    write: (name, content) => {
      writeFileSync(join(path, name), content);
      return join(path, name);
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

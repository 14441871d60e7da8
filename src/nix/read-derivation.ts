/** Reads a derivation from the store. */
import { readFile } from 'node:fs/promises';
import type { StorePath } from '../base/brand.ts';
import { systemErrorCode } from '../base/error.ts';
import { parseDerivation, type Derivation } from '../store/derivation.ts';
import { missingPath } from './store-database.ts';

/** @throws KilnError store-path-missing, corrupt */
export async function readDerivation(drvPath: StorePath): Promise<Derivation> {
  const text = await readFile(drvPath, 'latin1').catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') throw missingPath(drvPath);
    throw error;
  });
  return parseDerivation(text);
}

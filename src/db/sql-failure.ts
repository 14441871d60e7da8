/** Failures of SQL: their SQLSTATE, and which of them are the machine's rather than a bug. */
import { KilnError, isKilnError, systemErrorCode } from '../base/error.ts';

/** The five-character SQLSTATE of an error thrown by a query (`23505` = unique violation), if it is one. */
export function sqlState(error: unknown): string | undefined {
  const code = systemErrorCode(error);
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** True when the transaction lost against a concurrent one and may simply be run again. */
export function isTransactionConflict(error: unknown): boolean {
  return ['40001', '40P01'].includes(sqlState(error) ?? '');
}

const NETWORK = /^(ECONN|EHOST|ENET|ETIMEDOUT|EPIPE|ENOTFOUND|EAI_|ENOENT|EACCES)/;
/** Class 08 connection, 53300 too many connections, 57P01–57P03 server stops or starts. */
const UNAVAILABLE = /^(08|53300|57P0[1-3])/;
const LOST =
  /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/;

/**
 * Names what a person can act on (database gone, disk full); everything else comes back as it was.
 * @param where host, port and database, without the password
 */
export function describeSqlFailure(error: unknown, where: string): unknown {
  if (isKilnError(error) || !(error instanceof Error)) return error;
  const state = sqlState(error);
  const code = systemErrorCode(error) ?? '';
  if (state === '53100' || code === 'ENOSPC' || error.message.includes('No space left on device')) {
    return new KilnError('disk-full', 'The database has no space left on its disk', {
      where,
      hint: 'Free some space, for example with `kiln cache gc`, then try again.',
      cause: error,
    });
  }
  if (NETWORK.test(code) || UNAVAILABLE.test(state ?? '') || LOST.test(error.message))
    return unreachable(error, where);
  return error;
}

/** An error while connecting: whatever it is, the database cannot be used. */
export function unreachable(error: unknown, where: string): KilnError {
  return new KilnError('database-unreachable', `The database cannot be reached: ${reasonOf(error)}`, {
    where,
    hint: hintFor(error),
    cause: error,
  });
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ');
  if (systemErrorCode(error) === 'ECONNREFUSED') return 'connection refused';
  if (systemErrorCode(error) === 'ENOTFOUND') return 'the host name is not known';
  return error instanceof Error ? error.message : String(error);
}

function hintFor(error: unknown): string {
  switch (sqlState(error)) {
    case '28P01':
    case '28000':
      return 'Check the user and password in DATABASE_URL.';
    case '3D000':
      return 'Create the database (`createdb NAME`), or correct its name in DATABASE_URL.';
    case '53300':
      return 'Raise max_connections of the server, or end other clients.';
    default:
      return 'Start PostgreSQL or correct DATABASE_URL; without DATABASE_URL the embedded database is used.';
  }
}

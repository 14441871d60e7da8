/** From a thrown value to a status and a JSON body. */
import type { FastifyError } from 'fastify';
import { describeFailure, ERRORS, type Failure, isKilnError } from '../base/error.ts';

export interface ErrorResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: { readonly error: Failure };
}

/** A bug's message and stack stay in the log: they can hold what the asker may not see. */
export function errorResponse(error: unknown): ErrorResponse {
  if (isKilnError(error)) {
    return {
      status: error.status,
      headers: errorHeaders(error.fields),
      body: { error: describeFailure(error) },
    };
  }
  const status = clientErrorStatus(error);
  if (status !== undefined && error instanceof Error) {
    return { status, headers: {}, body: { error: { code: 'invalid-input', message: error.message } } };
  }
  const failure = describeFailure(error);
  if (failure.code !== 'bug')
    return { status: ERRORS[failure.code].status, headers: {}, body: { error: failure } };
  return {
    status: 500,
    headers: {},
    body: { error: { code: 'bug', message: 'Kiln failed in a way it should not; its log says more.' } },
  };
}

/** Header fields that an error's details ask for: `retryAfter` (seconds) and `contentRange`. */
export function errorHeaders(fields: Readonly<Record<string, unknown>>): Record<string, string> {
  const headers: Record<string, string> = {};
  if (typeof fields['retryAfter'] === 'number') headers['retry-after'] = String(fields['retryAfter']);
  if (typeof fields['contentRange'] === 'string') headers['content-range'] = fields['contentRange'];
  return headers;
}

/** The 4xx status of an error that the HTTP framework made of a bad request. */
export function clientErrorStatus(error: unknown): number | undefined {
  const status =
    error instanceof Error && 'statusCode' in error ? (error as FastifyError).statusCode : undefined;
  return status !== undefined && status >= 400 && status < 500 ? status : undefined;
}

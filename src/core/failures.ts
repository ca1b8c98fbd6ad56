import { isStoreTrouble } from '../store/errors.ts';
import type { Core } from './core.ts';
import { CoreError } from './errors.ts';

/**
 * The word for anything an operation threw, for a door's one catch. A `CoreError` speaks for itself; store trouble is
 * `unavailable` (its outcome may be unknown, so it is never told as success nor as "signed out"); the rest is a fault of ours.
 * What is no refusal is logged under the request's id, since the caller is told nothing of it.
 */
export function nameFailure(core: Core, requestId: string, error: unknown): CoreError {
  if (error instanceof CoreError) return error;
  core.log.error('request.failed', { requestId, error });
  return new CoreError(isStoreTrouble(error) ? 'unavailable' : 'internal');
}

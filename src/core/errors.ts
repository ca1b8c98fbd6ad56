/** The closed list of what the core refuses. Each door maps every word in its own total table. */
export const errorCodes = [
  'credential_missing',
  'session_invalid',
  'api_key_invalid',
  'credentials_differ',
  'login_refused',
  'throttled',
  'step_due',
  'access_denied',
  'current_password_wrong',
  'input_invalid',
  'login_taken',
  'email_taken',
  'user_not_found',
  'unavailable',
  'internal',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

/** What an answer may need beside the word itself; never a secret, never the caller's own input. */
export type ErrorDetail = {
  /** Seconds until another try can succeed, for `throttled`. */
  readonly retryAfterSeconds?: number;
  /** Name of the field at fault, for `input_invalid`. */
  readonly field?: string;
  /** Why the field is refused, a clause such as `must be at least 12 characters`, for `input_invalid`. */
  readonly reason?: string;
};

/** Thrown for whatever a caller can cause; everything else flies as it is and is answered as `internal`. */
export class CoreError extends Error {
  readonly code: ErrorCode;
  readonly detail: ErrorDetail;

  constructor(code: ErrorCode, detail: ErrorDetail = {}) {
    super(code);
    this.name = 'CoreError';
    this.code = code;
    this.detail = detail;
  }
}

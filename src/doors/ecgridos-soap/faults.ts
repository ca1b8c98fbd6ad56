import type { ErrorCode, ErrorDetail } from '../../core/index.ts';

/** Section 7 of the contract, by its own ids. */
export type FaultId =
  | 'F1'
  | 'F2'
  | 'F3'
  | 'F4'
  | 'F5'
  | 'F6'
  | 'F7'
  | 'F8'
  | 'F9'
  | 'F10'
  | 'F11'
  | 'F12'
  | 'F13'
  | 'F14'
  | 'F15';

/** What a fault tells beside its fixed row. Never a piece of the request but names that this contract declares. */
export type FaultDetail = {
  /** Name of the parameter at fault. */
  readonly item?: string;
  /** The fixed sentence of the reason; the row's own unless given. */
  readonly message?: string;
  readonly retryAfterSeconds?: number;
  /** Namespace and local name of each mandatory header that was not understood. */
  readonly notUnderstood?: readonly { readonly namespace: string; readonly name: string }[];
};

export class SoapFault extends Error {
  readonly id: FaultId;
  readonly detail: FaultDetail;

  constructor(id: FaultId, detail: FaultDetail = {}) {
    super(id);
    this.name = 'SoapFault';
    this.id = id;
    this.detail = detail;
  }
}

export type FaultCode = 'Client' | 'Server' | 'VersionMismatch' | 'MustUnderstand';

export type FaultRow = {
  readonly code: FaultCode;
  readonly faultstring: string;
  /** The vendor's number and text; none for faults without detail. */
  readonly info: { readonly code: number; readonly text: string } | null;
  readonly word: 'Authentication' | 'Authorization' | 'InvalidParameter' | 'ObjectNotFound' | 'SystemError';
  readonly message: string;
};

const accessDenied = { code: 2, text: 'Access denied' };
const notFound = { code: 3, text: 'Not found' };
const dataError = { code: 9, text: 'Data error' };
const internalError = { code: 11, text: 'Internal error' };

export const faultTable: Readonly<Record<FaultId, FaultRow>> = {
  F1: {
    code: 'Client',
    faultstring: 'Invalid SessionID',
    info: { code: 1, text: 'Session timeout' },
    word: 'Authentication',
    message: 'The session is unknown or has ended. Log in again.',
  },
  F2: {
    code: 'Client',
    faultstring: 'Invalid login',
    info: accessDenied,
    word: 'Authentication',
    message: 'The user name or password is not valid.',
  },
  F3: {
    code: 'Server',
    faultstring: 'Too many attempts',
    info: { code: -1, text: 'Unknown' },
    word: 'SystemError',
    message: 'Too many attempts. Retry later.',
  },
  F4: {
    code: 'Client',
    faultstring: 'Access denied',
    info: accessDenied,
    word: 'Authorization',
    message: 'AccessDenied: the authorization level is too low.',
  },
  F5: {
    code: 'Client',
    faultstring: 'Object not found',
    info: notFound,
    word: 'ObjectNotFound',
    message: 'No such user.',
  },
  F6: {
    code: 'Client',
    faultstring: 'Invalid parameter: ',
    info: { code: 7, text: 'Invalid data type' },
    word: 'InvalidParameter',
    message: 'The value is missing or of the wrong type.',
  },
  F7: {
    code: 'Client',
    faultstring: 'Invalid parameter: ',
    info: { code: 8, text: 'Invalid data length' },
    word: 'InvalidParameter',
    message: 'The value is too long.',
  },
  F8: {
    code: 'Client',
    faultstring: 'Invalid parameter: ',
    info: dataError,
    word: 'InvalidParameter',
    message: 'The value is refused.',
  },
  F9: {
    code: 'Client',
    faultstring: 'Unknown operation',
    info: notFound,
    word: 'ObjectNotFound',
    message: 'The operation is not offered.',
  },
  F10: {
    code: 'Client',
    faultstring: 'SOAPAction does not match the request',
    info: dataError,
    word: 'InvalidParameter',
    message: 'The action names another operation than the body.',
  },
  F11: {
    code: 'Client',
    faultstring: 'Malformed request',
    info: dataError,
    word: 'InvalidParameter',
    message: 'syntax',
  },
  F12: {
    code: 'VersionMismatch',
    faultstring: 'Unsupported SOAP version',
    info: null,
    word: 'InvalidParameter',
    message: '',
  },
  F13: {
    code: 'MustUnderstand',
    faultstring: 'Header not understood',
    info: null,
    word: 'InvalidParameter',
    message: '',
  },
  F14: {
    code: 'Server',
    faultstring: 'Service unavailable',
    info: internalError,
    word: 'SystemError',
    message: 'Retry later.',
  },
  F15: {
    code: 'Server',
    faultstring: 'Internal error',
    info: internalError,
    word: 'SystemError',
    message: 'See the server log under the request id.',
  },
};

/** The text of `faultstring`: the row's, with the parameter's name where the row ends in a colon. */
export function faultString(id: FaultId, detail: FaultDetail): string {
  const { faultstring } = faultTable[id];
  return faultstring.endsWith(': ') ? faultstring + (detail.item ?? '') : faultstring;
}

const stepDue = 'AccessDenied: a further sign-in step is required.';
const refusedNew = (detail: ErrorDetail) => ({
  item: 'NewPassword',
  message: `The new password ${detail.reason ?? 'is refused'}.`,
});

/** Every error of the core as a fault of this contract. */
export const coreFaults = {
  credential_missing: () => new SoapFault('F1', { item: 'SessionID' }),
  session_invalid: () => new SoapFault('F1', { item: 'SessionID' }),
  api_key_invalid: () => new SoapFault('F1', { item: 'SessionID' }),
  credentials_differ: () => new SoapFault('F1', { item: 'SessionID' }),
  login_refused: () => new SoapFault('F2'),
  throttled: ({ retryAfterSeconds = 1 }) => new SoapFault('F3', { retryAfterSeconds }),
  step_due: () => new SoapFault('F4', { message: stepDue }),
  access_denied: () => new SoapFault('F4'),
  current_password_wrong: () =>
    new SoapFault('F8', { item: 'OldPassword', message: 'The old password is not correct.' }),
  input_invalid: (detail) => new SoapFault('F8', refusedNew(detail)),
  login_taken: () => new SoapFault('F8', { item: 'UserName' }),
  email_taken: () => new SoapFault('F8', { item: 'UserName' }),
  user_not_found: () => new SoapFault('F5', { item: 'UserID' }),
  unavailable: () => new SoapFault('F14', { retryAfterSeconds: 2 }),
  internal: () => new SoapFault('F15'),
} satisfies Record<ErrorCode, (detail: ErrorDetail) => SoapFault>;

/**
 * The closed list of what can fail before an operation reaches the core, plus the one word for everything unforeseen.
 * Each door maps every word in its own table, so adding one here breaks the build of each door until it is answered.
 */
export const faults = [
  'bad_host',
  'repeated_header',
  'not_found',
  'method_not_allowed',
  'body_too_large',
  'unsupported_media_type',
  'bad_json',
  'too_slow',
  'stopping',
  'internal',
] as const;

export type Fault = (typeof faults)[number];

/** What a fault's answer may need beside the word itself. */
export type FaultDetail = {
  /** Value of the `Allow` header, for `method_not_allowed`. */
  readonly allow?: string;
  /** Name of the header that came twice, for `repeated_header` and `bad_host`. */
  readonly header?: string;
};

/** Thrown by the plumbing, caught by the door's one catch, answered in the door's own shape. */
export class HttpFault extends Error {
  readonly fault: Fault;
  readonly detail: FaultDetail;

  constructor(fault: Fault, detail: FaultDetail = {}) {
    super(fault);
    this.name = 'HttpFault';
    this.fault = fault;
    this.detail = detail;
  }
}

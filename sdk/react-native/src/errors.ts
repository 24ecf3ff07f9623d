import type { NativeFailure } from './NativeWatchword';

/** The names of what can go wrong, the same in every SDK of Watchword's; a later version may have more. */
export type WatchwordErrorCode =
  | 'body-unreadable'
  | 'challenge-refused'
  | 'configuration'
  | 'device-error'
  | 'device-unsupported'
  | 'evidence-refused'
  | 'instance-refused'
  | 'key-lost'
  | 'length-required'
  | 'outcome-unknown'
  | 'pin'
  | 'secret-refused'
  | 'secret-unopened'
  | 'service-refused'
  | 'service-unavailable'
  | 'unreadable-answer'
  | (string & {});

/** Says why there is no token, no secret or no answer. Holds no token, no key and nothing that was sent. */
export class WatchwordError extends Error {
  /** What happened. */
  readonly code: WatchwordErrorCode;
  /** What support needs to find the reason (`watchword explain REF`), where the service refused. */
  readonly ref: string | undefined;
  /** Seconds to wait before the same is tried again, where service or device named them. */
  readonly retryAfter: number | undefined;
  /** Whether trying again is of no use. */
  readonly isFinal: boolean;
  /** The host whose connection isn't used, where its key isn't one of the pinned. */
  readonly host: string | undefined;
  /** The method of the request whose outcome isn't known, or that needs a length. */
  readonly method: string | undefined;
  /** Scheme, host and port of the API that it went to; nothing else of its URL. */
  readonly origin: string | undefined;

  constructor(failure: Omit<NativeFailure, 'code'> & { code: WatchwordErrorCode }) {
    super(failure.message);
    this.name = 'WatchwordError';
    this.code = failure.code;
    this.ref = failure.ref;
    this.retryAfter = failure.retryAfter;
    this.isFinal = failure.isFinal ?? false;
    this.host = failure.host;
    this.method = failure.method;
    this.origin = failure.origin;
  }
}

/** Returns what a promise of native code was rejected with as a {@link WatchwordError}: its details are in `userInfo`. */
export function rejected(reason: unknown): WatchwordError {
  const told = reason as { code?: unknown; message?: unknown; userInfo?: Record<string, unknown> | null };
  const details = told?.userInfo ?? {};
  const text = (name: string): string | undefined => {
    const value = details[name];
    return typeof value === 'string' ? value : undefined;
  };
  const optional = {
    ref: text('ref'),
    host: text('host'),
    method: text('method'),
    origin: text('origin'),
    retryAfter: typeof details['retryAfter'] === 'number' ? details['retryAfter'] : undefined,
  };
  const given = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
  return new WatchwordError({
    code: typeof told?.code === 'string' ? told.code : 'device-error',
    message: typeof told?.message === 'string' ? told.message : 'native code failed and gave no reason',
    isFinal: details['isFinal'] === true,
    ...given,
  });
}

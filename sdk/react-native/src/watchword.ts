import { WatchwordError, rejected } from './errors';
import type { NativeApi, NativeConfiguration, Spec } from './NativeWatchword';

/** How a request proves that it comes from this instance: by the token alone, the session key, or the device's own key. */
export type ProofKind = 'bearer' | 'session' | 'device';

/** One API that the app talks to. */
export interface Api {
  /** The API's `audience` in `watchword.yaml`, for example `https://api.clinic.example`. */
  audience: string;
  /** Where it is reached: `https`, or `http` on loopback; its audience if absent. Nothing of Watchword's goes anywhere else. */
  origins?: readonly string[];
  /**
   * Paths by the proof that their routes ask for, such as `{ device: ['/login', '/payments/**'] }`; others take `otherwise`, which is
   * `session`. Where a route asks for another proof, the request is sent once more with that.
   */
  proof?: { device?: readonly string[]; session?: readonly string[]; bearer?: readonly string[]; otherwise?: ProofKind };
  /** Whether device proofs are made as DPoP (RFC 9449), which covers neither query nor body. */
  dpop?: boolean;
  /** For a roll-out: whether a request goes without a token where none is to be had, with `Watchword-Status` in its place. */
  sendUnproved?: boolean;
}

/** The lab's attester in place of this device's hardware. In a release build `configure` throws. */
export interface Lab {
  /** Where `watchword lab attester` listens, as this device sees it, for example `http://127.0.0.1:8450`. */
  attester: string;
  /** What kind of phone it plays (`watchword lab phones`): `genuine-android` or `genuine-iphone` if absent. */
  kind?: string;
  /** The phone's name: two names are two phones. `react-native` if absent. */
  device?: string;
}

/** What an app says once of its service and its APIs. */
export interface Configuration {
  /** Where the service listens: `https`, or `http` on loopback; no path. */
  service: string;
  /** The app's name under `apps` in `watchword.yaml`; mostly one for each platform. */
  app: string | { android: string; ios: string };
  /** APIs whose origin is their audience. */
  audiences?: readonly string[];
  /** APIs of which there is more to say. */
  apis?: readonly Api[];
  /** The service's `issuer` where it isn't `service`. */
  issuer?: string;
  /** What `watchword pins release` wrote for this version of the app, as text or as what `require('./pins.json')` returns. */
  pins?: string | object;
  /** Most seconds that a call waits for a token or a secret, 10 if absent. */
  waitSeconds?: number;
  /** Whether an Android phone makes its keys in StrongBox, where it has one. */
  strongBox?: boolean;
  /** A one-time code of `watchword instances invite`. In a release build `configure` throws. */
  testInstance?: string;
  /** See {@link Lab}. */
  lab?: Lab;
}

/** A secret, while it is used: its bytes turn to zero after that. */
export interface Secret {
  readonly bytes: Uint8Array;
  /** Returns it as text, which stays in memory until the garbage collector takes it; prefer {@link bytes}. */
  text(): string;
}

/** How this instance stands. */
export interface Status {
  /** Whether {@link Watchword.configure} was called. */
  isConfigured: boolean;
  /**
   * The level that the service attested, for example `hardware`; null before the enrolment, and after a start of the app until the first
   * request or {@link Watchword.ready} has read what the phone keeps.
   */
  level: string | null;
}

/** What an app sees of Watchword. */
export interface Watchword {
  /**
   * Says once where service and APIs are; call it before the first request, in `index.js`. Every request of `fetch` and axios to one of
   * the APIs carries token and proof from then on. A second call with the same changes nothing.
   *
   * @throws {@link WatchwordError} `configuration` on what can't be right, naming what was got and what was expected.
   */
  configure(configuration: Configuration): void;
  /**
   * Calls the listener with the reason where a request fails because of Watchword: `fetch` itself says "Network request failed" and no more.
   *
   * @returns what ends it.
   */
  onError(listener: (error: WatchwordError) => void): () => void;
  /** Gets tokens in the background where none is valid. Returns at once and throws nothing. */
  prefetch(): void;
  /** Resolves once there is a valid token; rejects with a {@link WatchwordError} where there is none to be had. */
  ready(): Promise<void>;
  /**
   * Enrols a new instance with new keys; only for a button that a user presses after support has helped.
   *
   * Rejects with a {@link WatchwordError}.
   */
  enrol(): Promise<void>;
  /**
   * Lends a secret that the service hands to this instance, and overwrites its bytes once `use` has ended.
   *
   * Rejects with a {@link WatchwordError}, or with what `use` threw.
   */
  secret<T>(name: string, use: (secret: Secret) => T | Promise<T>): Promise<T>;
  /** Overwrites what native code holds of a secret; the next {@link secret} fetches it. */
  forgetSecret(name: string): void;
  /**
   * Binds tokens to a user's session: to the value of the API's `binding_header`, for example what the app sends as `Authorization`.
   * Null binds them to nothing. It counts for the next request.
   *
   * @throws {@link WatchwordError} `configuration` before {@link configure}.
   */
  bind(value: string | null): void;
  /** Resolves to how this instance stands. */
  status(): Promise<Status>;
}

const DEFAULT_WAIT_SECONDS = 10;

/**
 * Makes the app's view of a native module.
 *
 * @param native that has keys and tokens; JavaScript never sees them.
 * @param platform where it runs.
 */
export function createWatchword(native: Spec, platform: 'android' | 'ios'): Watchword {
  const asked = async <T>(call: () => Promise<T>): Promise<T> => {
    try {
      return await call();
    } catch (error) {
      throw rejected(error);
    }
  };
  return {
    configure(configuration) {
      const wrong = native.configure(written(configuration, platform));
      if (wrong !== '') throw mistaken(wrong);
    },
    onError(listener) {
      const subscription = native.onError((failure) => listener(new WatchwordError(failure)));
      return () => subscription.remove();
    },
    prefetch: () => native.prefetch(),
    ready: () => asked(() => native.ready()),
    enrol: () => asked(() => native.enrol()),
    async secret(name, use) {
      const bytes = decoded(await asked(() => native.secret(name)));
      try {
        return await use({ bytes, text: () => utf8(bytes) });
      } finally {
        bytes.fill(0);
      }
    },
    forgetSecret: (name) => native.forgetSecret(name),
    bind(value) {
      if (!native.bind(value)) throw mistaken('bind() was called before configure(): say first where service and APIs are');
    },
    async status() {
      const { isConfigured, level } = await asked(() => native.status());
      return { isConfigured, level: level ?? null };
    },
  };
}

function mistaken(message: string): WatchwordError {
  return new WatchwordError({ code: 'configuration', message });
}

/** Returns a configuration as native code reads it, each default filled in. */
function written(configuration: Configuration, platform: 'android' | 'ios'): NativeConfiguration {
  const { service, app, audiences = [], apis = [], issuer, pins, testInstance, lab } = configuration;
  const all = [...audiences.map((audience): Api => ({ audience })), ...apis];
  const name = typeof app === 'string' ? app : app?.[platform];
  for (const [field, value] of [['service', service], ['app', name]] as const) {
    if (typeof value !== 'string' || value === '') throw mistaken(`${field}: got ${shown(value)}, expected a text that isn't empty`);
  }
  if (all.length === 0) throw mistaken('audiences: got none, expected at least one API by its audience in watchword.yaml');
  const waitSeconds = configuration.waitSeconds ?? DEFAULT_WAIT_SECONDS;
  // A number that isn't one would end an iOS app, whose Foundation writes no such JSON.
  if (!Number.isFinite(waitSeconds)) throw mistaken(`waitSeconds: got ${String(waitSeconds)}, expected a number of seconds`);
  if (testInstance !== undefined && lab !== undefined) {
    throw mistaken('testInstance and lab: got both, expected one: an operator code, or the attester of a lab');
  }
  return {
    service,
    app: name,
    apis: all.map(writtenApi),
    waitSeconds,
    strongBox: configuration.strongBox ?? false,
    ...(issuer === undefined ? {} : { issuer }),
    ...(pins === undefined ? {} : { pins: typeof pins === 'string' ? pins : JSON.stringify(pins) }),
    ...(testInstance === undefined ? {} : { testInstance }),
    ...(lab === undefined ? {} : { lab: writtenLab(lab, platform) }),
  };
}

function writtenApi({ audience, origins = [audience], proof = {}, dpop = false, sendUnproved = false }: Api): NativeApi {
  // Mostly a variable of the build that isn't set; native code, which was promised a text, would end the app.
  if (typeof audience !== 'string') throw mistaken(`audiences: got ${shown(audience)}, expected an API's audience in watchword.yaml`);
  const otherwise = proof.otherwise ?? 'session';
  if (!['bearer', 'session', 'device'].includes(otherwise)) {
    throw mistaken(`apis: ${audience}: proof.otherwise: got ${shown(otherwise)}, expected bearer, session or device`);
  }
  return {
    audience,
    origins: [...origins],
    device: [...(proof.device ?? [])],
    session: [...(proof.session ?? [])],
    bearer: [...(proof.bearer ?? [])],
    otherwise,
    dpop,
    sendUnproved,
  };
}

function writtenLab({ attester, kind, device = 'react-native' }: Lab, platform: 'android' | 'ios') {
  return { attester, kind: kind ?? (platform === 'android' ? 'genuine-android' : 'genuine-iphone'), device };
}

/** Returns a value for a message: its type where it isn't a plain one. */
function shown(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : value === null ? 'null' : typeof value;
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Returns the bytes of standard base64; Hermes has no such function that gives bytes. */
function decoded(base64: string): Uint8Array {
  const digits = base64.replace(/=+$/, '');
  const bytes = new Uint8Array(Math.floor((digits.length * 3) / 4));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const digit of digits) {
    held = (held << 6) | ALPHABET.indexOf(digit);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = (held >> bits) & 0xff;
    }
  }
  return bytes;
}

/** Returns bytes of UTF-8 as text; what isn't UTF-8 throws a `URIError`. */
function utf8(bytes: Uint8Array): string {
  return decodeURIComponent(Array.from(bytes, (byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''));
}

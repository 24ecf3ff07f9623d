import { beforeEach, describe, expect, test, vi } from 'vitest';
import { WatchwordError } from '../src/errors';
import type { NativeConfiguration, NativeFailure, Spec } from '../src/NativeWatchword';
import { createWatchword, type Configuration, type Watchword } from '../src/watchword';
import { stub } from './react-native';

const MINIMAL: Configuration = { service: 'https://attest.example', app: 'clinic', audiences: ['https://api.example'] };

/** Native code that says what a test wants, and keeps what it was told. */
class Native {
  configured: NativeConfiguration[] = [];
  bound: (string | null)[] = [];
  listeners = new Set<(failure: NativeFailure) => void>();
  wrong = '';
  isConfigured = true;
  answer: () => Promise<unknown> = async () => undefined;
  asked: string[] = [];

  get spec(): Spec {
    const ask = (name: string) => async () => {
      this.asked.push(name);
      return this.answer() as never;
    };
    return {
      configure: (configuration: NativeConfiguration) => {
        this.configured.push(configuration);
        return this.wrong;
      },
      bind: (value: string | null) => {
        this.bound.push(value);
        return this.isConfigured;
      },
      prefetch: () => void this.asked.push('prefetch'),
      forgetSecret: (name: string) => void this.asked.push(`forget ${name}`),
      ready: ask('ready'),
      enrol: ask('enrol'),
      secret: (name: string) => ask(`secret ${name}`)(),
      status: ask('status'),
      onError: (listener: (failure: NativeFailure) => void) => {
        this.listeners.add(listener);
        return { remove: () => this.listeners.delete(listener) };
      },
    } as unknown as Spec;
  }
}

let native: Native;
let watchword: Watchword;

beforeEach(() => {
  native = new Native();
  watchword = createWatchword(native.spec, 'ios');
});

function thrown(call: () => unknown): WatchwordError {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(WatchwordError);
    return error as WatchwordError;
  }
  throw new Error('nothing was thrown');
}

describe('configure', () => {
  test('fills in every default', () => {
    watchword.configure(MINIMAL);
    const api = { audience: 'https://api.example', origins: ['https://api.example'], device: [], session: [], bearer: [] };
    expect(native.configured).toEqual([
      {
        service: 'https://attest.example',
        app: 'clinic',
        apis: [{ ...api, otherwise: 'session', dpop: false, sendUnproved: false }],
        waitSeconds: 10,
        strongBox: false,
      },
    ]);
  });

  test('hands over what is said, an app for each platform, and pins as text', () => {
    const said: Configuration = {
      service: 'https://attest.example',
      app: { android: 'clinic-android', ios: 'clinic-ios' },
      apis: [
        {
          audience: 'clinic',
          origins: ['https://a.example', 'https://b.example'],
          proof: { device: ['/login'], session: ['/s'], bearer: ['/free'], otherwise: 'bearer' },
          dpop: true,
          sendUnproved: true,
        },
      ],
      issuer: 'https://issuer.example',
      pins: { roots: [1] },
      waitSeconds: 2.5,
      strongBox: true,
      lab: { attester: 'http://127.0.0.1:8450' },
    };
    watchword.configure(said);
    createWatchword(native.spec, 'android').configure({ ...said, pins: '{"roots": [1]}', lab: { attester: 'a', kind: 'k', device: 'd' } });
    const [ios, android] = native.configured;
    expect(ios).toEqual({
      service: 'https://attest.example',
      app: 'clinic-ios',
      apis: [
        {
          audience: 'clinic',
          origins: ['https://a.example', 'https://b.example'],
          device: ['/login'],
          session: ['/s'],
          bearer: ['/free'],
          otherwise: 'bearer',
          dpop: true,
          sendUnproved: true,
        },
      ],
      issuer: 'https://issuer.example',
      pins: '{"roots":[1]}',
      waitSeconds: 2.5,
      strongBox: true,
      lab: { attester: 'http://127.0.0.1:8450', kind: 'genuine-iphone', device: 'react-native' },
    });
    expect(android).toMatchObject({ app: 'clinic-android', pins: '{"roots": [1]}', lab: { attester: 'a', kind: 'k', device: 'd' } });
  });

  test('a lab phone is of its platform', () => {
    createWatchword(native.spec, 'android').configure({ ...MINIMAL, lab: { attester: 'a' } });
    expect(native.configured[0]?.lab?.kind).toBe('genuine-android');
  });

  test.each<[string, unknown, string]>([
    ['no service', { ...MINIMAL, service: '' }, "service: got '', expected"],
    ['no app', { ...MINIMAL, app: undefined }, 'app: got undefined, expected'],
    ['no app for this platform', { ...MINIMAL, app: { android: 'clinic' } }, 'app: got undefined'],
    ['no API', { ...MINIMAL, audiences: [] }, 'audiences: got none'],
    ['an API without a name', { ...MINIMAL, audiences: [undefined] }, 'audiences: got undefined, expected'],
    ['a wait that is no number', { ...MINIMAL, waitSeconds: Number.NaN }, 'waitSeconds: got NaN, expected'],
    ['an odd proof', { ...MINIMAL, apis: [{ audience: 'a', proof: { otherwise: 'magic' } }] }, "got 'magic', expected bearer"],
    ['two stand-ins', { ...MINIMAL, testInstance: 'wwt_code', lab: { attester: 'a' } }, 'testInstance and lab: got both'],
  ])('refuses %s before native code hears of it', (_, said, message) => {
    const error = thrown(() => watchword.configure(said as Configuration));
    expect(error.code).toBe('configuration');
    expect(error.message).toContain(message);
    expect(native.configured).toEqual([]);
  });

  test('throws what native code finds wrong', () => {
    native.wrong = 'got http://attest.example, expected https';
    expect(thrown(() => watchword.configure(MINIMAL))).toMatchObject({ code: 'configuration', message: native.wrong });
  });
});

describe('errors', () => {
  const REFUSED = Object.assign(new Error('the service refused'), {
    code: 'evidence-refused',
    userInfo: { ref: 'r-1', isFinal: true, retryAfter: 4.5, host: 'h', method: 'POST', origin: 'https://api.example', other: 1 },
  });

  test.each(['ready', 'enrol', 'status'] as const)('%s rejects with what native code says', async (name) => {
    native.answer = async () => Promise.reject(REFUSED);
    const error = await watchword[name]().then(() => null, (reason: unknown) => reason);
    expect(error).toBeInstanceOf(WatchwordError);
    expect(error).toMatchObject({
      name: 'WatchwordError',
      code: 'evidence-refused',
      message: 'the service refused',
      ref: 'r-1',
      isFinal: true,
      retryAfter: 4.5,
      host: 'h',
      method: 'POST',
      origin: 'https://api.example',
    });
    expect(native.asked).toEqual([name]);
  });

  test.each([[new Error('odd')], ['text'], [null], [{ code: 7, message: 7, userInfo: { ref: 7, retryAfter: 'x', isFinal: 'yes' } }]])(
    'an odd rejection (%j) is a device error without details',
    async (reason) => {
      native.answer = async () => Promise.reject(reason);
      const error = (await watchword.ready().then(() => null, (told: unknown) => told)) as WatchwordError;
      expect(error).toBeInstanceOf(WatchwordError);
      expect(error.code).toBe('device-error');
      expect([error.ref, error.retryAfter, error.isFinal]).toEqual([undefined, undefined, false]);
      expect(error.message).not.toBe('');
    },
  );

  test('listeners hear why a request failed, until they end', () => {
    const first: WatchwordError[] = [];
    const second: WatchwordError[] = [];
    const end = watchword.onError((error) => void first.push(error));
    watchword.onError((error) => void second.push(error));
    const tell = () => native.listeners.forEach((listener) => listener({ code: 'pin', message: 'm', host: 'api.example' }));
    tell();
    end();
    tell();
    expect(first).toHaveLength(1);
    expect(second).toHaveLength(2);
    expect(first[0]).toBeInstanceOf(WatchwordError);
    expect(first[0]).toMatchObject({ code: 'pin', host: 'api.example', isFinal: false });
  });
});

describe('secret', () => {
  const lend = (base64: string) => {
    native.answer = async () => base64;
  };

  test('is lent for a while, then overwritten', async () => {
    lend(btoa('push-key'));
    let kept: Uint8Array | undefined;
    const got = await watchword.secret('push', async (secret) => {
      kept = secret.bytes;
      await Promise.resolve();
      return `${secret.text()} ${secret.bytes.length}`;
    });
    expect(got).toBe('push-key 8');
    expect(native.asked).toEqual(['secret push']);
    expect(Array.from(kept ?? [1])).toEqual(new Array(8).fill(0));
  });

  test('is overwritten where its use fails, with what that threw', async () => {
    lend(btoa('abc'));
    let kept: Uint8Array | undefined;
    const failed = watchword.secret('push', ({ bytes }) => {
      kept = bytes;
      throw new RangeError('mine');
    });
    await expect(failed).rejects.toThrow(RangeError);
    expect(Array.from(kept ?? [1])).toEqual([0, 0, 0]);
  });

  test('has the bytes that were sealed, whatever they are', async () => {
    for (let length = 0; length < 70; length++) {
      const bytes = Uint8Array.from({ length }, (_, at) => (at * 89 + length * 31) % 256);
      lend(btoa(String.fromCharCode(...bytes)));
      expect(await watchword.secret('s', (secret) => Array.from(secret.bytes))).toEqual(Array.from(bytes));
    }
    lend(btoa(unescape(encodeURIComponent('Schlüssel 🔑'))));
    expect(await watchword.secret('s', (secret) => secret.text())).toBe('Schlüssel 🔑');
    lend(btoa('\xff'));
    await expect(watchword.secret('s', (secret) => secret.text())).rejects.toThrow(URIError);
  });

  test('says why there is none', async () => {
    native.answer = async () => Promise.reject(Object.assign(new Error('no'), { code: 'secret-refused', userInfo: { ref: 'r' } }));
    const use = vi.fn();
    await expect(watchword.secret('push', use)).rejects.toMatchObject({ code: 'secret-refused', ref: 'r' });
    expect(use).not.toHaveBeenCalled();
  });
});

test('bind, prefetch, forgetSecret and status go to native code', async () => {
  watchword.bind('Bearer x');
  watchword.bind(null);
  expect(native.bound).toEqual(['Bearer x', null]);
  native.isConfigured = false;
  expect(thrown(() => watchword.bind('Bearer x')).code).toBe('configuration');
  watchword.prefetch();
  watchword.forgetSecret('push');
  expect(native.asked).toEqual(['prefetch', 'forget push']);
  native.answer = async () => ({ isConfigured: true });
  expect(await watchword.status()).toEqual({ isConfigured: true, level: null });
  native.answer = async () => ({ isConfigured: true, level: 'hardware' });
  expect(await watchword.status()).toEqual({ isConfigured: true, level: 'hardware' });
});

test('the package is these functions over the native module of this platform', async () => {
  stub.module = native.spec;
  stub.os = 'ios';
  const index = await import('../src/index.js');
  index.configure({ ...MINIMAL, app: { android: 'a', ios: 'i' } });
  expect(native.configured[0]?.app).toBe('i');
  await index.ready();
  expect(native.asked).toEqual(['ready']);
});

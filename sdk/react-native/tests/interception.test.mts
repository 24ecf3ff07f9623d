import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { beforeEach, expect, test } from 'vitest';

const require = createRequire(import.meta.url);
const reactNative = require.resolve('react-native/package.json').replace('package.json', '');
const inReactNative = (path: string): string => readFileSync(reactNative + path, 'utf8');

/** What React Native puts in place of a browser's: each request of JavaScript comes by here, and goes to native networking. */
class XMLHttpRequest {
  static sent: string[] = [];
  private line = '';
  readyState = 4;
  status = 200;
  statusText = 'OK';
  responseText = 'done';
  response = 'done';
  responseURL = '';
  timeout = 0;
  upload = {};
  onload: (() => void) | null = null;
  onloadend: (() => void) | null = null;

  open(method: string, url: string): void {
    this.line = `${method} ${url}`;
  }

  setRequestHeader(): void {}

  addEventListener(): void {}

  getAllResponseHeaders(): string {
    return '';
  }

  send(body: unknown): void {
    XMLHttpRequest.sent.push(`${this.line} ${String(body ?? '')}`);
    setTimeout(() => (this.onload ?? this.onloadend)?.(), 0);
  }
}

beforeEach(() => {
  XMLHttpRequest.sent = [];
  Object.assign(globalThis, { XMLHttpRequest, self: globalThis });
});

test('fetch and axios of React Native both end in XMLHttpRequest', async () => {
  expect(inReactNative('Libraries/Network/fetch.js')).toContain("require('whatwg-fetch')");
  const { fetch } = await import('whatwg-fetch' as string);
  await fetch('https://api.example/a', { method: 'POST', body: 'by fetch' });
  const exported = require('axios/package.json').exports['.']['react-native'].require;
  const axios = require(`axios/${exported.replace('./', '')}`);
  await axios.post('https://api.example/b', 'by axios');
  expect(XMLHttpRequest.sent).toEqual(['POST https://api.example/a by fetch', 'POST https://api.example/b by axios']);
});

test('XMLHttpRequest ends in the networking that native code of ours stands in', () => {
  expect(inReactNative('Libraries/Network/XMLHttpRequest.js')).toMatch(/RCTNetworking\.sendRequest\(/);
  const android = inReactNative('ReactAndroid/src/main/java/com/facebook/react/modules/network/NetworkingModule.kt');
  expect(android).toContain('OkHttpClientProvider.createClient(');
  expect(inReactNative('Libraries/Network/RCTHTTPRequestHandler.mm')).toContain('configuration = urlSessionConfigurationProvider();');
});

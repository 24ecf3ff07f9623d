import { vi } from 'vitest';
import { createMock } from './mock.js';

const mock = createMock((call) => vi.fn(call as never) as never);

export const { configure, onError, prefetch, ready, enrol, secret, forgetSecret, bind, status, WatchwordError, simulation } = mock;

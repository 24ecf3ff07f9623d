import { beforeEach, describe, expect, test, vi } from 'vitest';

Object.assign(globalThis, { jest: vi });
const index = await import('../src/watchword.js');

for (const framework of ['jest', 'vitest'] as const) {
  describe(framework, async () => {
    const mock = framework === 'jest' ? await import('../src/jest.js') : await import('../src/vitest.mjs');
    const MINIMAL = { service: 'https://attest.example', app: 'clinic', audiences: ['https://api.example'] };

    beforeEach(() => {
      mock.simulation.reset();
      vi.clearAllMocks();
    });

    test('has each name of the package, and counts calls', () => {
      const names = Object.keys(index.createWatchword({} as never, 'ios'));
      expect(Object.keys(mock).sort()).toEqual([...names, 'WatchwordError', 'simulation'].sort());
      mock.configure(MINIMAL);
      for (const name of names) expect(vi.isMockFunction(mock[name as 'bind'])).toBe(true);
      expect(vi.mocked(mock.configure).mock.calls).toEqual([[MINIMAL]]);
      expect(mock.simulation.configured?.app).toBe('clinic');
    });

    test('refuses what the package refuses', () => {
      expect(() => mock.configure({ ...MINIMAL, audiences: [] })).toThrow(mock.WatchwordError);
      expect(() => mock.bind('x')).toThrow(/before configure/);
      mock.configure(MINIMAL);
      mock.configure(MINIMAL);
      expect(() => mock.configure({ ...MINIMAL, app: 'other' })).toThrow(/another configuration/);
      mock.bind('Bearer x');
      expect(mock.simulation.bound).toBe('Bearer x');
    });

    test('enrols, lends secrets, and fails as told', async () => {
      await expect(mock.ready()).rejects.toMatchObject({ code: 'configuration' });
      mock.configure(MINIMAL);
      expect(await mock.status()).toEqual({ isConfigured: true, level: null });
      mock.simulation.secrets['push'] = 'kéy';
      expect(await mock.secret('push', (secret) => secret.text())).toBe('kéy');
      expect(await mock.status()).toEqual({ isConfigured: true, level: 'hardware' });
      await expect(mock.secret('other', () => 0)).rejects.toMatchObject({ code: 'secret-refused' });
      mock.simulation.failure = { code: 'evidence-refused', ref: 'r-7', isFinal: true };
      for (const call of [mock.ready, mock.enrol, () => mock.secret('push', () => 0)]) {
        await expect(call()).rejects.toMatchObject({ code: 'evidence-refused', ref: 'r-7', isFinal: true });
      }
      mock.prefetch();
      mock.forgetSecret('push');
    });

    test('tells listeners what a request failed by', () => {
      const heard: string[] = [];
      const end = mock.onError((error) => void heard.push(`${error.code} ${error.ref} ${error.message}`));
      mock.simulation.fail({ code: 'service-refused', ref: 'r-8' });
      end();
      mock.simulation.fail({ code: 'pin' });
      expect(heard).toEqual(['service-refused r-8 simulated: service-refused']);
    });
  });
}

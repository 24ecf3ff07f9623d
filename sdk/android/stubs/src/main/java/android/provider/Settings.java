// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.provider;

import android.content.ContentResolver;

public final class Settings {
    private Settings() {}

    public static final class Global {
        public static final String BOOT_COUNT = "boot_count";

        /** What a test's phone counted. */
        public static volatile int bootCount = 1;

        private Global() {}

        public static int getInt(ContentResolver cr, String name, int def) {
            return BOOT_COUNT.equals(name) ? bootCount : def;
        }
    }
}

// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.os;

public class Build {
    public static final String MANUFACTURER = "lab";
    public static final String MODEL = "JVM";

    public static class VERSION {
        /** Not final here, so that a test can be any version, and so that no compiler folds it in. */
        public static int SDK_INT = 37;
        public static final String RELEASE = "17";
        public static final String SECURITY_PATCH = "2026-11-01";
    }
}

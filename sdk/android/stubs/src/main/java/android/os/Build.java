// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.os;

public class Build {
    public static class VERSION {
        /** Not final here, so that a test can be any version, and so that no compiler folds it in. */
        public static int SDK_INT = 37;
        public static String RELEASE = "17";
    }
}

// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.content.pm;

public class ApplicationInfo {
    public static final int FLAG_DEBUGGABLE = 2;

    public int flags;
}

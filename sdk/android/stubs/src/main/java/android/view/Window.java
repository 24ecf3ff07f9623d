// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.view;

public abstract class Window {
    private Window() {}

    public void addFlags(int flags) {}
}

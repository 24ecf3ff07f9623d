// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.content;

public abstract class ContentResolver {}
